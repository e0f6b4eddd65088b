package broker

import (
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A transaction stores the SEND, ACK and NACK frames between BEGIN and COMMIT
// (STOMP 1.2, "BEGIN"). Receipts for them confirm that they were added to the
// transaction; the receipt of the COMMIT confirms that they were executed. Open
// transactions are dropped when the session ends. A SEND is authorized when it
// is added and again at COMMIT.
type transaction struct {
	frames []frames.Frame
	bytes  int
}

// transactions are the open transactions of a session.
type transactions struct {
	open  map[string]*transaction
	bytes int
}

// transaction returns the transaction that f names, which must be open.
func (s *session) transaction(f *frames.Frame) (string, *transaction, *Error) {
	id, ok := f.Lookup(frames.HeaderTransaction)
	if !ok {
		return "", nil, failure(ReasonProtocolError, "%s without a transaction header", f.Command)
	}
	if s.tx == nil || s.tx.open[id] == nil {
		return "", nil, failure(ReasonProtocolError, "no open transaction %s", strconv.QuoteToASCII(id))
	}
	return id, s.tx.open[id], nil
}

// transact handles BEGIN and ABORT.
func (s *session) transact(f *frames.Frame) *Error {
	if f.Command == frames.CommandAbort {
		_, fail := s.takeTransaction(f)
		return fail
	}
	id, ok := f.Lookup(frames.HeaderTransaction)
	if !ok {
		return failure(ReasonProtocolError, "%s without a transaction header", f.Command)
	}
	if s.tx == nil {
		s.tx = &transactions{open: make(map[string]*transaction)}
	}
	if s.tx.open[id] != nil {
		return failure(ReasonProtocolError, "transaction %s has begun already", strconv.QuoteToASCII(id))
	}
	l := s.b.policy.Load().limits
	if len(s.tx.open) >= l.Transactions {
		return failure(ReasonLimit, "more than %d open transactions (limits.transactions)", l.Transactions)
	}
	size := transactionOverhead + len(id)
	if s.tx.bytes+size > l.TransactionBytes {
		return tooManyTransactionBytes(l)
	}
	s.tx.bytes += size
	s.tx.open[strings.Clone(id)] = &transaction{bytes: size}
	return nil
}

// takeTransaction ends the transaction that f names.
func (s *session) takeTransaction(f *frames.Frame) (*transaction, *Error) {
	id, tx, fail := s.transaction(f)
	if fail != nil {
		return nil, fail
	}
	delete(s.tx.open, id)
	s.tx.bytes -= tx.bytes
	if len(s.tx.open) == 0 {
		s.tx = nil
	}
	return tx, nil
}

func tooManyTransactionBytes(l Limits) *Error {
	return failure(ReasonLimit, "more than %d bytes in open transactions (limits.transaction_bytes)", l.TransactionBytes)
}

// inTransaction stores a frame until COMMIT.
func (s *session) inTransaction(f *frames.Frame, asks asks, bt *batch) *Error {
	_, tx, fail := s.transaction(f)
	if fail != nil {
		return fail
	}
	l := s.b.policy.Load().limits
	if len(tx.frames) >= l.TransactionFrames {
		return failure(ReasonLimit, "more than %d frames in a transaction (limits.transaction_frames)", l.TransactionFrames)
	}
	var kind topics.Kind
	if f.Command == frames.CommandSend { // so that a COMMIT does not fail halfway
		d, fail := s.sendable(f, bt)
		if fail != nil {
			return fail
		}
		if asks&asksOnce != 0 {
			if fail := s.unknown(d, f); fail != nil {
				return fail
			}
		}
		kind = d.Kind
	}
	kept, size := keepFrame(f, kind)
	if s.tx.bytes+size > l.TransactionBytes {
		return tooManyTransactionBytes(l)
	}
	tx.bytes += size
	s.tx.bytes += size
	tx.frames = append(tx.frames, kept)
	s.receipt(f, bt)
	return nil
}
