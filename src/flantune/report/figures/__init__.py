"""The figures of pages, as inline SVG."""
