# The program knows its own commands.
eval "$(corelane completions bash)"
