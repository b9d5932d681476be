package main

import (
	"sort"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// A lock of a transaction that prewrote a key, or of a pessimistic one that only locked it (op PessimisticLock).
type lock struct {
	op          kvrpcpb.Op
	primary     []byte
	start       uint64
	ttl         uint64
	forUpdateTS uint64
	value       []byte
}

// What became of a transaction at a key; op is Rollback where it was rolled back.
type write struct {
	op            kvrpcpb.Op
	start, commit uint64
	value         []byte
}

type entry struct {
	lock   *lock
	writes []write // in the order of their commit timestamps
}

// mvcc holds the versions of all keys, by the rules of Percolator. Callers hold the store's mutex.
type mvcc struct {
	keys      map[string]*entry
	conflicts every // which write conflicts are missed
}

func (m *mvcc) at(key []byte) *entry {
	found := m.keys[string(key)]
	if found == nil {
		found = &entry{}
		m.keys[string(key)] = found
	}
	return found
}

func (e *entry) locked(key []byte) *kvrpcpb.KeyError {
	return &kvrpcpb.KeyError{Locked: &kvrpcpb.LockInfo{
		PrimaryLock: e.lock.primary, LockVersion: e.lock.start, Key: key, LockTtl: e.lock.ttl, LockType: e.lock.op,
		LockForUpdateTs: e.lock.forUpdateTS,
	}}
}

// read returns the newest value at a timestamp, or the lock that is in the way.
func (e *entry) read(key []byte, ts uint64) ([]byte, bool, *kvrpcpb.KeyError) {
	if e.lock != nil && e.lock.start <= ts && (e.lock.op == kvrpcpb.Op_Put || e.lock.op == kvrpcpb.Op_Del) {
		return nil, false, e.locked(key)
	}
	for at := len(e.writes) - 1; at >= 0; at-- {
		found := e.writes[at]
		if found.commit <= ts && (found.op == kvrpcpb.Op_Put || found.op == kvrpcpb.Op_Del) {
			return found.value, found.op == kvrpcpb.Op_Put, nil
		}
	}
	return nil, false, nil
}

func (e *entry) newest() uint64 {
	for at := len(e.writes) - 1; at >= 0; at-- {
		if e.writes[at].op != kvrpcpb.Op_Rollback {
			return e.writes[at].commit
		}
	}
	return 0
}

// of returns what is written of a transaction, or nil.
func (e *entry) of(start uint64) *write {
	for at := range e.writes {
		if e.writes[at].start == start {
			return &e.writes[at]
		}
	}
	return nil
}

func (e *entry) add(added write) {
	e.writes = append(e.writes, added)
	sort.SliceStable(e.writes, func(i, j int) bool { return e.writes[i].commit < e.writes[j].commit })
}

func (m *mvcc) conflict(key []byte, start, newest uint64) *kvrpcpb.KeyError {
	if m.conflicts.hit() {
		return nil
	}
	return &kvrpcpb.KeyError{Conflict: &kvrpcpb.WriteConflict{StartTs: start, ConflictTs: newest, ConflictCommitTs: newest, Key: key}}
}

func (m *mvcc) mayPrewrite(mutation *kvrpcpb.Mutation, start, forUpdateTS uint64) *kvrpcpb.KeyError {
	e := m.at(mutation.Key)
	if e.lock != nil && e.lock.start != start {
		return e.locked(mutation.Key)
	}
	if e.of(start) != nil || (forUpdateTS > 0 && e.lock == nil) {
		return &kvrpcpb.KeyError{Abort: "PessimisticLockNotFound or rolled back"}
	}
	if newest := e.newest(); forUpdateTS == 0 && e.lock == nil && newest > start {
		if found := m.conflict(mutation.Key, start, newest); found != nil {
			return found
		}
	}
	if _, there, _ := e.read(mutation.Key, start); there && mutation.Op == kvrpcpb.Op_Insert {
		return &kvrpcpb.KeyError{AlreadyExist: &kvrpcpb.AlreadyExist{Key: mutation.Key}}
	}
	return nil
}

func (m *mvcc) prewrite(mutation *kvrpcpb.Mutation, request *kvrpcpb.PrewriteRequest) {
	op := mutation.Op
	if op == kvrpcpb.Op_Insert {
		op = kvrpcpb.Op_Put
	}
	m.at(mutation.Key).lock = &lock{
		op: op, primary: request.PrimaryLock, start: request.StartVersion, ttl: request.LockTtl,
		forUpdateTS: request.ForUpdateTs, value: mutation.Value,
	}
}

func (m *mvcc) lockPessimistically(key []byte, request *kvrpcpb.PessimisticLockRequest) *kvrpcpb.KeyError {
	e := m.at(key)
	if e.lock != nil && e.lock.start != request.StartVersion {
		return e.locked(key)
	}
	if e.of(request.StartVersion) != nil {
		return &kvrpcpb.KeyError{Abort: "rolled back"}
	}
	if newest := e.newest(); newest > request.ForUpdateTs {
		return m.conflict(key, request.StartVersion, newest)
	}
	e.lock = &lock{
		op: kvrpcpb.Op_PessimisticLock, primary: request.PrimaryLock, start: request.StartVersion, ttl: request.LockTtl,
		forUpdateTS: request.ForUpdateTs,
	}
	return nil
}

func (m *mvcc) commit(key []byte, start, commit uint64) *kvrpcpb.KeyError {
	e := m.at(key)
	if e.lock != nil && e.lock.start == start && e.lock.op != kvrpcpb.Op_PessimisticLock {
		e.add(write{op: e.lock.op, start: start, commit: commit, value: e.lock.value})
		e.lock = nil
		return nil
	}
	if found := e.of(start); found != nil && found.op != kvrpcpb.Op_Rollback {
		return nil
	}
	return &kvrpcpb.KeyError{Retryable: "TxnLockNotFound"}
}

// rollBack returns the commit_ts of a transaction that was committed before, else 0.
func (m *mvcc) rollBack(key []byte, start uint64) uint64 {
	e := m.at(key)
	if found := e.of(start); found != nil {
		if found.op != kvrpcpb.Op_Rollback {
			return found.commit
		}
		return 0
	}
	if e.lock != nil && e.lock.start == start {
		e.lock = nil
	}
	e.add(write{op: kvrpcpb.Op_Rollback, start: start, commit: start})
	return 0
}
