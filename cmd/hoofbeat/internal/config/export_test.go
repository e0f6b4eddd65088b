package config

// Items returns the keys of an item of a list, such as auth.jwt, and nil for every
// other key.
func (k Key) Items() []Key {
	if r, ok := k.value.(*records); ok {
		return r.fresh()
	}
	return nil
}

// InFile reports whether the file may hold the key.
func (k Key) InFile() bool { return !k.envOnly }

// Must reports whether every item has to have the key.
func (k Key) Must() bool { return k.must }

// Range returns the texts of the numbers just beyond the range of a key, nil for
// a key without a range.
func (k Key) Range() []string {
	if n, ok := k.value.(interface{ beyond() []string }); ok {
		return n.beyond()
	}
	return nil
}

func (n number[T]) beyond() []string {
	out := []string{n.unit.format(int64(n.max) + 1)}
	if below := int64(n.min) - 1; below >= 0 || !n.canBeOff {
		out = append(out, n.unit.format(below))
	}
	return out
}
