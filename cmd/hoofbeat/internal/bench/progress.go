package bench

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress shows the progress of a run: a bar on a terminal, or a line for each
// phase elsewhere. A nil Progress shows nothing.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	live  bool
	name  string
	text  string
	done  int
	total int
	drawn time.Time
	width int // of the text on the line
}

// NewProgress returns a Progress that writes to w. live draws a bar, for
// terminals.
func NewProgress(w io.Writer, live bool) *Progress { return &Progress{w: w, live: live} }

const (
	barWidth = 30
	redraw   = 100 * time.Millisecond
)

// phase begins a phase of total steps, or 0 if the number is unknown.
func (p *Progress) phase(name string, total int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.text, p.done, p.total = name, "", 0, total
	if !p.live {
		fmt.Fprintf(p.w, "%s\n", name)
		return
	}
	p.draw()
}

func (p *Progress) set(done int) { p.update(func() { p.done = done }) }

func (p *Progress) add(n int) { p.update(func() { p.done += n }) }

// note shows a text after the bar.
func (p *Progress) note(text string) { p.update(func() { p.text = text }) }

func (p *Progress) update(change func()) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	if p.live && (time.Since(p.drawn) >= redraw || p.done == p.total) {
		p.draw()
	}
}

func (p *Progress) draw() {
	p.drawn = time.Now()
	line := p.name
	if p.total > 0 {
		done := min(max(p.done, 0), p.total)
		full := done * barWidth / p.total
		line += fmt.Sprintf(" [%s%s] %3d %%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done*100/p.total)
	}
	if p.text != "" {
		line += " " + p.text
	}
	fmt.Fprintf(p.w, "\r%-*s", p.width, line)
	p.width = len(line)
}

// clear removes the bar.
func (p *Progress) clear() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
		p.width = 0
	}
}
