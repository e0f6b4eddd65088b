package store

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// The ids of the messages of an entry (HistoryPut.Once) lie in its stream, as
// those of the queues lie in theirs: with messages: 1 the next message drops the
// one before, and its id with it. The records have numbers, which are gaps in
// those of the messages.

// idRecordBytes is at least what the record of one id takes in the stream. It
// counts as part of the message, also when it was removed.
const idRecordBytes = 256

// idRecord implements writeOwner.
func (l *historyLog) idRecord(batch string, puts []put) (put, bool) {
	return l.ids.record(l.idsAt, batch, puts)
}

// isIDs reports whether the engine has returned a record of ids.
func (l *historyLog) isIDs(m *nats.Msg) bool {
	return strings.HasPrefix(m.Header.Get(headerSubject), l.idsAt)
}

// forgetIDs removes the records that are not needed any more, twice a minute.
func (l *historyLog) forgetIDs() {
	now := time.Now()
	if now.Before(l.tidied.Add(idPeriod)) || l.h.Err() != nil {
		return
	}
	l.tidied = now
	ctx, cancel := context.WithTimeout(l.h.ctx, l.h.o.Timeout)
	defer cancel()
	if err := l.ids.forget(ctx, now, l.h.control, l.stream, l.idsAt); err != nil { // tried again
		l.h.log.Warn("ids of messages that are not needed any more could not be removed", "destination", l.limits().Destination, "error", err)
	}
}
