//go:build unix

package stream

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket reads and writes the descriptor of a plain socket. The two functions
// are made once, so that no call allocates; what they work on passes through
// the fields. The reader owns the first group of fields, the writer the second.
type socket struct {
	raw syscall.RawConn

	readable func(fd uintptr) bool
	in       *buffer // nil while idle
	got      int
	readErr  syscall.Errno

	writable func(fd uintptr)
	out      []byte
	put      int
	writeErr syscall.Errno
}

// newTransport uses the descriptor only of types whose Read and Write are known
// to do nothing else.
func newTransport(nc net.Conn) transport {
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	default:
		return newLayered(nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return newLayered(nc) // an invalid connection: its Read says so
	}
	s := &socket{raw: raw}
	s.readable, s.writable = s.read, s.write
	return s
}

func (s *socket) canTry() bool { return true }

// receive calls data outside of RawConn.Read. A loop within it would save some
// nanoseconds a read, but RawConn.Read holds the descriptor, and Close waits
// until nobody does: data could not close its own connection, and a hook that
// takes its time would hold up everyone who wants to close it.
func (s *socket) receive(data func(p []byte) error) error {
	defer s.release()
	for {
		if err := s.raw.Read(s.readable); err != nil {
			return err
		}
		if s.readErr != 0 {
			return opError("read", s.readErr)
		}
		if s.got == 0 {
			return io.EOF
		}
		if err := data(s.in[:s.got]); err != nil {
			return err
		}
	}
}

// read is called when the socket may have bytes; false means wait until it has.
//
// It always asks the socket before it waits, also after a read that did not
// fill the buffer, which costs a system call of 0.5 µs that finds nothing
// (net.Conn makes the same one). The runtime's poller is edge-triggered: a FIN
// that came in one segment with the last bytes raises no event of its own, and
// a reader that waited after a short read hung in 200 of 200 such endings.
func (s *socket) read(fd uintptr) bool {
	if s.in == nil {
		s.in = buffers.Get().(*buffer)
	}
	for {
		n, err := syscall.Read(int(fd), s.in[:])
		if err == nil {
			s.got, s.readErr = n, 0
			return true
		}
		switch errno := err.(syscall.Errno); errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			s.release()
			return false
		default:
			s.got, s.readErr = 0, errno
			return true
		}
	}
}

func (s *socket) release() {
	if s.in != nil {
		buffers.Put(s.in)
		s.in = nil
	}
}

// tryWrite goes through Control, which only keeps the descriptor from being
// closed meanwhile; RawConn.Write would queue behind the lock of a Write.
func (s *socket) tryWrite(p []byte) (int, error) {
	s.out = p
	err := s.raw.Control(s.writable)
	s.out = nil
	if err != nil {
		return 0, err
	}
	if s.writeErr != 0 {
		return 0, opError("write", s.writeErr)
	}
	return s.put, nil
}

func (s *socket) write(fd uintptr) {
	for {
		n, err := syscall.Write(int(fd), s.out)
		if err == nil {
			s.put, s.writeErr = n, 0
			return
		}
		switch errno := err.(syscall.Errno); errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			s.put, s.writeErr = 0, 0
			return
		default:
			s.put, s.writeErr = 0, errno
			return
		}
	}
}

// opError is what net.Conn would have returned, without the addresses, which
// the caller knows.
func opError(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "socket", Err: os.NewSyscallError(op, errno)}
}
