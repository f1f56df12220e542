"""Where hostile text may come from, and the commands that get to see it: what `test_terminal` sweeps.

A scene puts files into an empty folder and says which commands are run there. Every command that takes a kind
of file is run on every hostile file of that kind; every option of every command gets hostile values.
"""

from tests.hostile.scenes import arguments, checkpoints, ggufs, others
from tests.hostile.scenes.base import Scene

__all__ = ["SCENES", "Scene"]

SCENES = (*ggufs.SCENES, *checkpoints.SCENES, *others.SCENES, *arguments.SCENES)
