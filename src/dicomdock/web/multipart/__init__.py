"""Multipart bodies (RFC 2046), read and written in constant memory."""
