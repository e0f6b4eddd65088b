package config

import (
	"net/netip"
	"strings"
)

const wantNetworks = "networks such as 10.0.0.0/8, addresses, or unix"

// Proxies are the networks of reverse proxies, and whether a proxy is behind a
// Unix socket.
type Proxies struct {
	Networks []netip.Prefix
	Unix     bool
}

// UnmarshalText reads networks separated by commas; a bare address is a network
// of one. The word unix stands for Unix sockets. After an error p does not
// change.
func (p *Proxies) UnmarshalText(text []byte) error {
	var all Proxies
	for _, item := range split(string(text)) {
		if item == "unix" {
			all.Unix = true
			continue
		}
		network, err := netip.ParsePrefix(item)
		if err != nil {
			ip, err := netip.ParseAddr(item)
			if err != nil || ip.Zone() != "" {
				return wrong(item, wantNetworks)
			}
			network = netip.PrefixFrom(ip, ip.BitLen())
		}
		all.Networks = append(all.Networks, network.Masked())
	}
	*p = all
	return nil
}

// MarshalText writes what UnmarshalText reads. It never fails.
func (p *Proxies) MarshalText() ([]byte, error) {
	items := make([]string, len(p.Networks))
	for i, network := range p.Networks {
		items[i] = network.String()
	}
	if p.Unix {
		items = append(items, "unix")
	}
	return []byte(strings.Join(items, ",")), nil
}
