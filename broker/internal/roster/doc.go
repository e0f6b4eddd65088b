// Package roster keeps who is in which room, and numbers the changes. A room is
// a name, such as a topic; a user is a name, and several sessions of a user are
// one user. A session without a user name is counted and has no name.
//
//	rooms := roster.New(roster.Options{Grace: 2 * time.Second, …})
//	rooms.Enter("/topic/room/7", "ann", now)
//	rooms.Leave("/topic/room/7", "ann", now)
//	for rooms.Pending() {
//		wait()
//		for _, e := range rooms.Tick(now) {
//			publish(e)
//		}
//	}
//
// A user whose last session leaves stays in the room for the grace. If the user
// comes back within it, nothing has happened. [Rooms.Tick] collects the changes of
// each room since the last call as one [Event], so many changes are few events.
// Each event of a room has the next number. A page says up to which number it is
// complete, and a gap between two numbers says that changes are missing.
//
// Times are nanoseconds of a clock that never goes back. Nothing happens by
// itself: the caller calls Tick while there is something pending.
//
// # Memory
//
// A user in a room takes [UserCost] bytes besides the name, a room [RoomCost]
// bytes besides its name. A room without users exists while it is watched. Users
// in their grace are bounded, see [Options.Leaving].
package roster
