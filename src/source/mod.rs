//! Source files, byte spans in them, and line numbers.
