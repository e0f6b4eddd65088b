package auth

// MaxOperationBytes is the maximum length in bytes of the name of an operation
// that a credential is bound to.
const MaxOperationBytes = 256

// OperationScope begins the scope that binds a session to one operation; the
// name of the operation follows.
const OperationScope = "operation:"

// RoleBackend is the role of backends that authenticate as programs, without a
// user's name. Tickets of MintBackend of package auth/ticket have it.
const RoleBackend = "backend"
