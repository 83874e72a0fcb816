package client

// Cached returns how many unknown clients are remembered.
func (r *Registry) Cached() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.unknown)
}
