"`python -m korean_bert`: the commands of this package. Written by hand, as nbdev makes no such file."
import sys

from korean_bert.command import COMMANDS, list_commands

if len(sys.argv) > 1:
    sys.exit(f"python -m korean_bert takes no arguments, got {' '.join(sys.argv[1:])}: "
             f"call one of {', '.join(COMMANDS)}")
list_commands()
