"""What the user set: settings, servers, trust and secrets."""
