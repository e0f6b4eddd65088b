package workqueue

// minSlots is the smallest buffer that a list keeps, so that a queue that is
// emptied as fast as it is filled never allocates.
const minSlots = 8

// fifo is a ring buffer of entries. It doubles when full and halves when three
// quarters are empty, so a burst leaves no memory behind. push and pop take
// amortised constant time.
type fifo[M any] struct {
	buf  []entry[M] // its length is zero or a power of two
	head int
	n    int
}

func (f *fifo[M]) push(e entry[M]) {
	if f.n == len(f.buf) {
		f.resize(max(minSlots, 2*len(f.buf)))
	}
	f.buf[(f.head+f.n)&(len(f.buf)-1)] = e
	f.n++
}

// insert adds an entry before those with a greater seq.
func (f *fifo[M]) insert(e entry[M]) {
	f.push(e)
	for i := f.n - 1; i > 0 && f.at(i-1).seq > e.seq; i-- {
		*f.at(i), *f.at(i - 1) = *f.at(i - 1), e
	}
}

// at returns an entry by its distance from the front.
func (f *fifo[M]) at(i int) *entry[M] { return &f.buf[(f.head+i)&(len(f.buf)-1)] }

func (f *fifo[M]) front() *entry[M] { return &f.buf[f.head] }

func (f *fifo[M]) pop() {
	f.buf[f.head] = entry[M]{} // release the message
	f.head = (f.head + 1) & (len(f.buf) - 1)
	f.n--
	if len(f.buf) > minSlots && f.n <= len(f.buf)/4 {
		f.resize(len(f.buf) / 2)
	}
}

// remove removes the entries for which f returns true; the others keep their
// order. It calls f once for each entry.
func (f *fifo[M]) remove(dead func(*entry[M]) bool) {
	kept := 0
	for i := range f.n {
		e := &f.buf[(f.head+i)&(len(f.buf)-1)]
		if dead(e) {
			continue
		}
		if kept < i {
			f.buf[(f.head+kept)&(len(f.buf)-1)] = *e
		}
		kept++
	}
	for i := kept; i < f.n; i++ {
		f.buf[(f.head+i)&(len(f.buf)-1)] = entry[M]{} // release the message
	}
	f.n = kept
	slots := len(f.buf)
	for slots > minSlots && f.n <= slots/4 {
		slots /= 2
	}
	if slots < len(f.buf) {
		f.resize(slots)
	}
}

func (f *fifo[M]) resize(slots int) {
	buf := make([]entry[M], slots)
	tail := f.buf[f.head:min(f.head+f.n, len(f.buf))]
	copy(buf[copy(buf, tail):], f.buf[:f.n-len(tail)])
	f.buf, f.head = buf, 0
}
