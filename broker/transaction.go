package broker

import (
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A transaction keeps the SEND, ACK and NACK frames between BEGIN and COMMIT
// (STOMP 1.2, "BEGIN"). Receipts for them confirm that they were taken into the
// transaction; the receipt of the COMMIT confirms that they were carried out.
// What is open when the session ends is dropped. Whether a SEND is allowed is
// decided when it is taken, and once more at COMMIT; a COMMIT that meets a full
// queue or a handler that fails ends there, and what it had done stays done.
type transaction struct {
	frames []frames.Frame
	bytes  int
}

// transact handles BEGIN, COMMIT and ABORT.
func (s *session) transact(f *frames.Frame, bt *batch) *Error {
	id, ok := f.Lookup(frames.HeaderTransaction)
	if !ok {
		return failure(ReasonProtocolError, "%s without a transaction header", f.Command)
	}
	tx := s.tx[id]
	if f.Command == frames.CommandBegin {
		if tx != nil {
			return failure(ReasonProtocolError, "transaction %s has begun already", strconv.QuoteToASCII(id))
		}
		if len(s.tx) >= s.b.policy.Load().limits.Transactions {
			return failure(ReasonLimit, "more than %d open transactions (limits.transactions)", s.b.policy.Load().limits.Transactions)
		}
		size := transactionOverhead + len(id)
		if s.txBytes+size > s.b.policy.Load().limits.TransactionBytes {
			return tooManyTransactionBytes(s.b.policy.Load().limits)
		}
		if s.tx == nil {
			s.tx = make(map[string]*transaction)
		}
		s.txBytes += size
		s.tx[strings.Clone(id)] = &transaction{bytes: size}
		return nil
	}
	if tx == nil {
		return unknownTransaction(id)
	}
	delete(s.tx, id)
	s.txBytes -= tx.bytes
	if f.Command == frames.CommandAbort {
		return nil
	}
	for i := range tx.frames {
		var fail *Error
		if fr := &tx.frames[i]; fr.Command == frames.CommandSend {
			fail = s.send(fr, bt)
		} else {
			fail = s.acknowledge(fr, bt)
		}
		if fail != nil {
			return fail
		}
	}
	return nil
}

func tooManyTransactionBytes(l Limits) *Error {
	return failure(ReasonLimit, "more than %d bytes in open transactions (limits.transaction_bytes)", l.TransactionBytes)
}

func unknownTransaction(id string) *Error {
	return failure(ReasonProtocolError, "no open transaction %s", strconv.QuoteToASCII(id))
}

// inTransaction keeps a frame until COMMIT.
func (s *session) inTransaction(id string, f *frames.Frame, bt *batch) *Error {
	tx := s.tx[id]
	if tx == nil {
		return unknownTransaction(id)
	}
	l := s.b.policy.Load().limits
	if len(tx.frames) >= l.TransactionFrames {
		return failure(ReasonLimit, "more than %d frames in a transaction (limits.transaction_frames)", l.TransactionFrames)
	}
	var kind topics.Kind
	if f.Command == frames.CommandSend { // so that a COMMIT is not refused half way
		d, fail := s.sendable(f, bt)
		if fail != nil {
			return fail
		}
		kind = d.Kind
	}
	kept, size := keepFrame(f, kind)
	if s.txBytes+size > l.TransactionBytes {
		return tooManyTransactionBytes(l)
	}
	tx.bytes += size
	s.txBytes += size
	tx.frames = append(tx.frames, kept)
	s.receipt(f, bt)
	return nil
}
