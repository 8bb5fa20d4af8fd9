"""Write the dashboard into the chart."""

from pathlib import Path

from dashboard.grafana import text
from dashboard.panels import ROWS

FILE = Path(__file__).parents[1] / "charts/pie/files/dashboard.json"

if __name__ == "__main__":
    FILE.write_text(text(ROWS))
