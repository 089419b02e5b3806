package limit

import "net/netip"

// Network is who asks, as far as a limit can tell people apart: an IPv4 address, or
// the /64 that a household or a machine has in IPv6. What is no address is one
// stranger together with all others of that sort.
func Network(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		return prefix(addr, 64)
	}
	if !addr.IsValid() {
		return "unknown"
	}
	return addr.String()
}

// Site is the IPv6 /48 that a customer of a provider, or somebody with a tunnel, may
// have: 65,536 networks. It is "" for everybody else, who has no more than one.
func Site(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return ""
	}
	return prefix(addr, 48)
}

func prefix(addr netip.Addr, bits int) string {
	p, err := addr.Prefix(bits)
	if err != nil { // an IPv6 address has as many
		return addr.String()
	}
	return p.String()
}
