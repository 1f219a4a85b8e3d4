"""What any package may use and what uses none of them: files, plugins, progress, findings."""
