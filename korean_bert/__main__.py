"`python -m korean_bert`: the commands of this package. Written by hand, as nbdev makes no such file."
from korean_bert.command import list_commands

list_commands()
