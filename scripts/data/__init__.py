"""The data contract: reading, checking, splitting, caching, sampling."""
