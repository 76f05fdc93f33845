# The program knows its own commands.
corelane completions fish | source
