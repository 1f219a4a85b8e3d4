"""How the shared values of a kernel are chosen when clustering begins. One file an initializer."""
