"""``minewatch completion``: lets a shell complete commands, options, and the names of areas, alerts, pipelines and sources."""

from __future__ import annotations

import click

from minewatch.cli.output import Session, common_options, print_result

SHELLS = {
    "bash": 'eval "$(minewatch completion bash)"    in ~/.bashrc',
    "zsh": 'eval "$(minewatch completion zsh)"     in ~/.zshrc, after compinit',
    "fish": "minewatch completion fish > ~/.config/fish/completions/minewatch.fish",
}
"""Shell to what a person does once."""


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@common_options
def completion(session: Session, shell: str) -> None:
    """Print what lets a shell complete commands, options, and names of areas, alerts, pipelines and sources with the Tab key.

    Put it where the shell reads it when it starts: for bash the line eval "$(minewatch completion bash)" into ~/.bashrc, for
    zsh eval "$(minewatch completion zsh)" into ~/.zshrc after compinit.  Then open a new shell.

    \b
    Example:
      minewatch completion bash
      minewatch completion zsh
      minewatch completion fish > ~/.config/fish/completions/minewatch.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click knows these shells"
    root = click.get_current_context().find_root()
    script = found(root.command, {}, "minewatch", "_MINEWATCH_COMPLETE").source()
    print_result(session, {"shell": shell, "script": script}, [script.rstrip()], [f"do this once: {SHELLS[shell]}"])
