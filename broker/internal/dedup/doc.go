// Package dedup remembers which messages were accepted in the last minutes, so
// that a message that is sent again is accepted only once. It knows ids only,
// neither sessions nor messages.
//
//	attempt, earlier, err := window.Begin(dedup.KeyOf(user, destination, id), user, limits)
//	switch {
//	case err != nil:
//		return err // too many ids are remembered
//	case earlier != nil:
//		earlier.Then(answer) // at once, or when the first attempt has ended
//		return nil
//	}
//	err = accept(message)
//	attempt.End(err) // after an error the id can be used again
//
// # Memory
//
// An id is kept as a hash of 128 bits, whatever its length, so the memory of a
// window is its number of ids times [Cost]. The ids lie in generations. A
// timer drops the oldest one as a whole: an id is remembered for the length of
// the window, and for at most a quarter longer.
package dedup
