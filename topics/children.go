package topics

// children finds the child branches of a branch by the text of their segment.
// An only child, the usual case below the first levels, needs no map, which
// would take more memory than the branch itself. The zero value is empty.
type children[S comparable] struct {
	only *branch[S]
	many elastic[string, *branch[S]] // all children, if there are two or more
}

func (c *children[S]) len() int {
	if c.only != nil {
		return 1
	}
	return len(c.many.all)
}

func (c *children[S]) get(text string) *branch[S] {
	if b := c.only; b != nil {
		if b.segment.text == text {
			return b
		}
		return nil
	}
	return c.many.all[text]
}

// add adds a branch with a new text.
func (c *children[S]) add(b *branch[S]) {
	if c.len() == 0 {
		c.only = b
		return
	}
	if c.only != nil {
		c.many.set(c.only.segment.text, c.only)
		c.only = nil
	}
	c.many.set(b.segment.text, b)
}

func (c *children[S]) delete(text string) {
	if c.only != nil {
		if c.only.segment.text == text {
			c.only = nil
		}
		return
	}
	c.many.delete(text)
	if len(c.many.all) == 1 {
		for _, last := range c.many.all {
			*c = children[S]{only: last}
		}
	}
}
