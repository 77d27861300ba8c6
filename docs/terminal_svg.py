"""A terminal's text as an SVG: python3 docs/terminal_svg.py COMMAND < printed.txt > docs/picture.svg

Takes the lines up to the first that explains the table, and puts the command above them.
"""

import sys
from html import escape

ADVANCE, LINE, MARGIN = 7.0, 17, 16
# Viewers differ in how they are asked to keep spaces; these are kept by all.
NO_BREAK = "\u00a0"


def main():
    lines = [f"$ {sys.argv[1]}", "…"]
    for line in sys.stdin.read().splitlines():
        if line.startswith("paper:"):
            break
        lines.append(line.rstrip())
    while not lines[-1]:
        lines.pop()
    width = round(max(map(len, lines)) * ADVANCE + 2 * MARGIN)
    height = (len(lines) + 1) * LINE
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="The table as the program prints it">'
    )
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#16181d"/>')
    print(
        '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="11.6" '
        'fill="#d7dae0">'
    )
    for number, line in enumerate(lines):
        if line:
            # Fixed lengths: columns stay aligned in fonts of any width.
            print(
                f'<text x="{MARGIN}" y="{28 + LINE * number}" textLength="{round(len(line) * ADVANCE)}" '
                f'lengthAdjust="spacingAndGlyphs">{escape(line).replace(" ", NO_BREAK)}</text>'
            )
    print("</g></svg>")


main()
