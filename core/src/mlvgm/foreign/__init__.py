"""Other people's code: modules and functions that are called, asked what they are, and held to what they promise."""
