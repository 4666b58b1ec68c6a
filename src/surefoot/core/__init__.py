"""What every package stands on: types, the door and its messages, numerics, files."""
