"""The pictures of the report, as SVG that stands in the page: each for a wide and for a narrow screen."""
