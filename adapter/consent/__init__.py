"""What a member allows whom to be told. Pure."""
