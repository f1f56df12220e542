"""``gguf-tools completion``: the script that teaches a shell to complete our command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .console import print_line

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="\b\nExamples:\n"
    '  eval "$(gguf-tools completion bash)"\n'
    "  gguf-tools completion bash > \\\n"
    "    ~/.local/share/bash-completion/completions/gguf-tools\n"
    "  gguf-tools completion zsh > ~/.zfunc/_gguf-tools\n"
    "  gguf-tools completion fish > ~/.config/fish/completions/gguf-tools.fish"
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, files and names with the Tab key.

    For one session of bash or zsh: eval "$(gguf-tools completion bash)"; of fish: gguf-tools completion fish
    | source. To keep it, write it where the shell looks for such scripts, as below (for zsh, a directory in
    its fpath). Completed are also the names of types, recipes and architectures, and the keys and tensors of
    the file that is named before.
    """
    from . import main

    made = get_completion_class(shell)
    assert made is not None
    for line in made(main, {}, "gguf-tools", "_GGUF_TOOLS_COMPLETE").source().splitlines():
        print_line(line)
