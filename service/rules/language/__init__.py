"""The language of conditions and texts: CEL and Liquid, bounded and traced."""
