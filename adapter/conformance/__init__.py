"""Whether a message is built as HL7 v2, or a sender's own profile, says: told in tolerant mode, refused in strict mode."""
