//go:build unix

package stream

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket reads and writes the descriptor of a plain socket. The two callbacks
// are created once, so that no call allocates; their arguments and results are
// passed in the fields. The reader owns the first group of fields, the writer
// the second.
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
		return newLayered(nc) // an invalid connection: its Read returns the error
	}
	s := &socket{raw: raw}
	s.readable, s.writable = s.read, s.write
	return s
}

func (s *socket) canTry() bool { return true }

// receive calls data outside of RawConn.Read. A loop inside would save some
// nanoseconds per read, but RawConn.Read holds the descriptor, and Close waits
// for its release: data could not close its own connection, and a slow hook
// would block every other caller of Close.
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

// read is called when the socket may have bytes. It returns false to wait for
// more.
//
// It always reads once more before it waits, even after a read that did not
// fill the buffer. That costs a system call of 0.5 µs that finds nothing, as in
// net.Conn. The runtime's poller is edge-triggered: a FIN that arrives in one
// segment with the last bytes raises no event of its own, and a reader that
// waited after a short read hung in 200 of 200 such cases.
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

// tryWrite uses Control, which only prevents the descriptor from being closed
// meanwhile. RawConn.Write would wait for the lock of a running Write.
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

// opError returns the error that net.Conn would return, without the addresses,
// which the caller knows.
func opError(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "socket", Err: os.NewSyscallError(op, errno)}
}
