package shop

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file that never changes under its name: the name has the file's hash.
type asset struct {
	name         string
	media        string
	plain        []byte
	br, gz       []byte
	immutableTag string
}

// assets are the files by their names without a hash, assetsByURL by what is asked for.
var assets, assetsByName = mustReadAssets()

var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".json": "application/json", ".webmanifest": "application/manifest+json",
}

func mustReadAssets() (byFile, byName map[string]*asset) {
	byFile, byName = map[string]*asset{}, map[string]*asset{}
	files, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic("shop: " + err.Error()) // the files are compiled in
	}
	for _, f := range files {
		body, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			panic("shop: " + err.Error())
		}
		sum := sha256.Sum256(body)
		hash := base64.RawURLEncoding.EncodeToString(sum[:9])
		ext := path.Ext(f.Name())
		a := &asset{name: strings.TrimSuffix(f.Name(), ext) + "." + hash + ext, media: mediaTypes[ext], plain: body, immutableTag: `"` + hash + `"`}
		if ext != ".png" {
			a.br, a.gz = squeeze(body, "br", best), squeeze(body, "gzip", best)
		}
		byFile[f.Name()], byName[a.name] = a, a
	}
	return byFile, byName
}

// assetURL is where a file is served.
func assetURL(file string) string {
	a := assets[file]
	if a == nil {
		panic("shop: there is no asset " + file) // a test renders every page
	}
	return "/assets/" + a.name
}

// serveAsset serves a file for a year. A file of an older program is not there: its pages
// are gone from caches before it.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	a := assetsByName[r.PathValue("name")]
	h := w.Header()
	if a == nil {
		h.Set("Cache-Control", "no-store")
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	a.serve(w, r)
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.media)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", a.immutableTag)
	body := a.plain
	switch enc := encodingOf(r); {
	case enc == "br" && a.br != nil:
		body = a.br
		h.Set("Content-Encoding", enc)
	case enc != "" && a.gz != nil:
		body = a.gz
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the reader may be gone
	}
}
