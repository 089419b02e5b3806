#!/usr/bin/env bash
# Makes the subsets beside this file anew, on a Debian machine with python3:
# fonts-noto-core 20201225 and fonts-hanazono 20170904, fonttools 4.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
cd "$work"
apt-get download fonts-noto-core fonts-hanazono
for d in ./*.deb; do dpkg-deb -x "$d" x; done
pip install --quiet --target py fonttools
export PYTHONPATH=$work/py
noto=x/usr/share/fonts/truetype/noto hanazono=x/usr/share/fonts/truetype/hanazono
lean=(--no-hinting --notdef-outline --name-IDs=0,13,14 --drop-tables+=DSIG,BASE)
subset() { python3 -m fontTools.subset "$@"; }

subset "$noto/NotoSans-Regular.ttf" --output-file=latin.ttf "${lean[@]}" \
	--unicodes='U+0020-007E,U+00A0-052F,U+1D00-1DBF,U+1E00-1FFF,U+2000-206F,U+2070-20CF,U+2100-214F,U+2150-218F,U+2C60-2C7F,U+A640-A69F,U+A720-A7FF,U+AB30-AB6F,U+FB00-FB06,U+2212,U+25CC,U+FFFD'
for s in Arabic Armenian Bengali Cherokee Devanagari Ethiopic Georgian Gujarati Gurmukhi Hebrew Kannada Khmer Lao Malayalam Myanmar Oriya Sinhala Tamil Telugu Thaana Thai; do
	subset "$noto/NotoSans$s-Regular.ttf" --output-file="${s,,}.ttf" --unicodes='*' "${lean[@]}"
done

# Chinese characters of JIS X 0213 and HKSCS, without those that the bitmap font has;
# bitmap-lacks.txt lists those of the basic plane.
HERE=$here python3 - <<'PY'
import os
found = set()
for cp in [*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000), *range(0xF900, 0xFB00), *range(0x20000, 0x30000)]:
    for codec in ("euc_jis_2004", "big5hkscs"):
        try:
            chr(cp).encode(codec)
            found.add(cp)
        except UnicodeEncodeError:
            pass
names = {0x20BB7, 0x2123D, 0x2363A, 0x20984, 0x21A1A, 0x22AB8}  # in names, and in neither
rare = [int(line[2:], 16) for line in open(os.environ["HERE"] + "/bitmap-lacks.txt")]
open("a.txt", "w").write("\n".join("U+%X" % cp for cp in sorted(rare)))
open("b.txt", "w").write("\n".join("U+%X" % cp for cp in sorted(names | {0x20} | {cp for cp in found if cp >= 0x20000})))
PY
for part in A:a B:b; do
	subset "$hanazono/HanaMin${part%:*}.ttf" --output-file="han${part#*:}.ttf" --unicodes-file="${part#*:}.txt" --no-hinting --notdef-outline --drop-tables+=DSIG,BASE,GSUB,GPOS,vhea,vmtx
done
python3 -m fontTools.merge --output-file=han.ttf hanb.ttf hana.ttf
rm hana.ttf hanb.ttf
for f in ./*.ttf; do gzip -9 -n "$f"; done
cp ./*.ttf.gz "$here"
