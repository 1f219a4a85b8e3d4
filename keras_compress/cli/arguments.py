"""The words behind a verb: a model and a profile may stand without their flags."""

from absl import flags

# In this order, in front of all flags: keras-compress check model.tflite cortex_m4.
POSITIONAL = ("model", "profile")


def parse(verb, words, values):
    """Read the words of a command line into the verb's flags.

    Args:
        verb: Name of the verb.
        words: What stands behind it.
        values: The verb's `absl.flags.FlagValues`, defined and not parsed.

    Raises:
        absl.flags.Error: A word that is no flag, a flag that does not exist or has a wrong value,
            or flags that are required and missing.
    """
    try:
        rest = values([verb, *_as_flags(words, values)])[1:]
    except flags.IllegalFlagValueError:
        missing = [name for name in _required(values) if values[name].value is None]
        if not missing:
            raise
        raise flags.Error(_say_missing(missing, values)) from None
    if rest:
        raise flags.Error(
            f"Flags begin with --, and only {_usage(values)} may stand in front of them. "
            f"Received: {' '.join(rest)}"
        )


def help_text(verb, summary, example, values):
    """Return what `--help` prints: usage, an example, and each flag with its default.

    Args:
        verb: Name of the verb.
        summary: One sentence.
        example: A command line that works.
        values: The verb's `absl.flags.FlagValues`.
    """
    required = set(_required(values))
    own = {name: values[name] for name in values if _is_ours(name, values)}
    width = max(len(name) for name in own) + 2
    lines = [
        f"  --{name:{width}}{_described(flag, name in required)}"
        for name, flag in sorted(own.items(), key=lambda item: (item[0] not in required, item[0]))
    ]
    usage = f"keras-compress {verb} {_usage(values)}".rstrip()
    return "\n".join(
        [f"{summary}", "", f"Usage: {usage} [flags]", f"Example: {example}", "", *lines]
    )


def _as_flags(words, values):
    names = [name for name in POSITIONAL if name in values]
    leading: list[str] = []
    while words[len(leading) :] and not words[len(leading)].startswith("-"):
        leading.append(words[len(leading)])
    named = [f"--{name}={word}" for name, word in zip(names, leading, strict=False)]
    return [*named, *words[len(named) :]]


def _required(values):
    ours = {name: values[name] for name in values if _is_ours(name, values)}
    return [name for name, flag in ours.items() if flag.validators and flag.default is None]


def _is_ours(name, values):
    return values.find_module_defining_flag(name) != "absl.flags"


def _usage(values):
    required = _required(values)
    names = [name for name in POSITIONAL if name in values]
    return " ".join(n.upper() if n in required else f"[{n.upper()}]" for n in names)


def _say_missing(names, values):
    said = ", ".join(f"--{name} ({values[name].help.rstrip('.')})" for name in names)
    return f"{said} {'is' if len(names) == 1 else 'are'} required"


def _described(flag, required):
    # absl puts choices before the text, and behind it that a flag may be repeated.
    said = flag.help.partition(">: ")[2] if flag.help.startswith("<") else flag.help
    said = said.partition(";\n")[0].rstrip(".") + "."
    choices = getattr(flag.parser, "enum_values", None)
    if choices:
        said += f" One of {', '.join(choices)}."
    if required:
        return f"{said} Required."
    return said if flag.default in (None, []) else f"{said} Default: {flag.default}."
