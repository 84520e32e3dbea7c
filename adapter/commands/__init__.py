"""The subcommands of `careloop`, one module a group."""
