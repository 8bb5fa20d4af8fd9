"""`python -m image OUTPUT.tar [--name NAME:TAG]`: build pie's image."""

import argparse
import sys
from pathlib import Path

import pie
from image.base import ImageError
from image.recipe import build

NAME = f"registry.example.com/pie:{pie.__version__}"


def main() -> int:
    """Build the image, print its ID."""
    parser = argparse.ArgumentParser(
        prog="python -m image", description="Build pie's container image as a tar."
    )
    parser.add_argument("output", type=Path, help="the tar to write (OCI layout, docker load reads it too)")
    parser.add_argument(
        "--name",
        default=f"registry.example.com/pie:{pie.__version__}",
        help="name and tag (default: %(default)s)",
    )
    arguments = parser.parse_args()
    try:
        image_id = build(arguments.output, name=arguments.name)
    except ImageError as error:
        print(f"image: {error}", file=sys.stderr)  # noqa: T201  a command line
        return 1
    print(f"{arguments.output}: {arguments.name} sha256:{image_id}")  # noqa: T201  a command line
    return 0


if __name__ == "__main__":
    sys.exit(main())
