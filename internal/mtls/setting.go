package mtls

import "guichet/internal/config"

// Settings reads where a program's identity lies: GUICHET_TLS_CERT, GUICHET_TLS_KEY
// and GUICHET_TLS_CA, all of them or none. Without them a program speaks plain HTTP.
func Settings(r *config.Reader) Files {
	f := Files{Cert: r.Text("GUICHET_TLS_CERT", ""), Key: r.Text("GUICHET_TLS_KEY", ""), CA: r.Text("GUICHET_TLS_CA", "")}
	if f.On() {
		for name, v := range map[string]string{"GUICHET_TLS_CERT": f.Cert, "GUICHET_TLS_KEY": f.Key, "GUICHET_TLS_CA": f.CA} {
			if v == "" {
				r.Fault(name, "is not set: certificate, key and authority are given together or not at all")
			}
		}
	}
	return f
}

// On reports whether any of the files is named.
func (f Files) On() bool { return f.Cert != "" || f.Key != "" || f.CA != "" }
