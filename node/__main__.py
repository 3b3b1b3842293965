"""``python -m node`` is the `dicom-node` command."""

from node.cli.app import main

if __name__ == "__main__":
    main()
