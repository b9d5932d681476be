package main

import (
	"bytes"
	"context"
	"sort"
	"sync"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
)

type store struct {
	tikvpb.UnimplementedTikvServer
	regions *regions

	mutex     sync.Mutex
	data      mvcc
	prewrites every
	commits   every
}

// deposed makes the client look the region up again, and that lookup fail.
func (s *store) deposed(id uint64) *errorpb.Error {
	s.regions.fail(id)
	return &errorpb.Error{Message: "not leader", NotLeader: &errorpb.NotLeader{RegionId: id}}
}

func (s *store) KvGet(_ context.Context, request *kvrpcpb.GetRequest) (*kvrpcpb.GetResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	value, there, locked := s.data.at(request.Key).read(request.Key, request.Version)
	return &kvrpcpb.GetResponse{Value: value, NotFound: !there, Error: locked}, nil
}

func (s *store) KvBatchGet(_ context.Context, request *kvrpcpb.BatchGetRequest) (*kvrpcpb.BatchGetResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return &kvrpcpb.BatchGetResponse{Pairs: s.pairs(request.Keys, request.Version)}, nil
}

func (s *store) KvScan(_ context.Context, request *kvrpcpb.ScanRequest) (*kvrpcpb.ScanResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var keys [][]byte
	for key := range s.data.keys {
		after := len(request.EndKey) == 0 || bytes.Compare([]byte(key), request.EndKey) < 0
		if bytes.Compare([]byte(key), request.StartKey) >= 0 && after && s.regions.idOf([]byte(key)) == request.Context.RegionId {
			keys = append(keys, []byte(key))
		}
	}
	sort.Slice(keys, func(i, j int) bool { return bytes.Compare(keys[i], keys[j]) < 0 })
	pairs := s.pairs(keys, request.Version)
	return &kvrpcpb.ScanResponse{Pairs: pairs[:min(len(pairs), int(request.Limit))]}, nil
}

func (s *store) pairs(keys [][]byte, ts uint64) []*kvrpcpb.KvPair {
	var pairs []*kvrpcpb.KvPair
	for _, key := range keys {
		if value, there, locked := s.data.at(key).read(key, ts); there || locked != nil {
			pairs = append(pairs, &kvrpcpb.KvPair{Key: key, Value: value, Error: locked})
		}
	}
	return pairs
}

func (s *store) KvPrewrite(_ context.Context, request *kvrpcpb.PrewriteRequest) (*kvrpcpb.PrewriteResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	id := s.regions.idOf(request.Mutations[0].Key)
	if id != s.regions.idOf(request.PrimaryLock) && s.prewrites.hit() {
		return &kvrpcpb.PrewriteResponse{RegionError: s.deposed(id)}, nil
	}
	answer := &kvrpcpb.PrewriteResponse{}
	for _, mutation := range request.Mutations {
		if found := s.data.mayPrewrite(mutation, request.StartVersion, request.ForUpdateTs); found != nil {
			answer.Errors = append(answer.Errors, found)
		}
	}
	if answer.Errors == nil {
		for _, mutation := range request.Mutations {
			s.data.prewrite(mutation, request)
		}
	}
	return answer, nil
}

func (s *store) KvCommit(_ context.Context, request *kvrpcpb.CommitRequest) (*kvrpcpb.CommitResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	held := s.data.at(request.Keys[0]).lock
	if held != nil && bytes.Equal(held.primary, request.Keys[0]) && s.commits.hit() {
		return &kvrpcpb.CommitResponse{RegionError: s.deposed(s.regions.idOf(request.Keys[0]))}, nil
	}
	for _, key := range request.Keys {
		if found := s.data.commit(key, request.StartVersion, request.CommitVersion); found != nil {
			return &kvrpcpb.CommitResponse{Error: found}, nil
		}
	}
	return &kvrpcpb.CommitResponse{CommitVersion: request.CommitVersion}, nil
}

func (s *store) KvPessimisticLock(
	_ context.Context, request *kvrpcpb.PessimisticLockRequest,
) (*kvrpcpb.PessimisticLockResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	answer := &kvrpcpb.PessimisticLockResponse{}
	for _, mutation := range request.Mutations {
		if found := s.data.lockPessimistically(mutation.Key, request); found != nil {
			return &kvrpcpb.PessimisticLockResponse{Errors: []*kvrpcpb.KeyError{found}}, nil
		}
		if request.ReturnValues {
			value, there, _ := s.data.at(mutation.Key).read(mutation.Key, request.ForUpdateTs)
			answer.Values = append(answer.Values, value)
			answer.NotFounds = append(answer.NotFounds, !there)
		}
	}
	return answer, nil
}

func (s *store) KVPessimisticRollback(
	_ context.Context, request *kvrpcpb.PessimisticRollbackRequest,
) (*kvrpcpb.PessimisticRollbackResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, key := range request.Keys {
		e := s.data.at(key)
		if e.lock != nil && e.lock.start == request.StartVersion && e.lock.op == kvrpcpb.Op_PessimisticLock {
			e.lock = nil
		}
	}
	return &kvrpcpb.PessimisticRollbackResponse{}, nil
}

func (s *store) KvTxnHeartBeat(
	_ context.Context, request *kvrpcpb.TxnHeartBeatRequest,
) (*kvrpcpb.TxnHeartBeatResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	held := s.data.at(request.PrimaryLock).lock
	if held == nil || held.start != request.StartVersion {
		return &kvrpcpb.TxnHeartBeatResponse{Error: &kvrpcpb.KeyError{Abort: "TxnLockNotFound"}}, nil
	}
	held.ttl = max(held.ttl, request.AdviseLockTtl)
	return &kvrpcpb.TxnHeartBeatResponse{LockTtl: held.ttl}, nil
}

func (s *store) KvCleanup(_ context.Context, request *kvrpcpb.CleanupRequest) (*kvrpcpb.CleanupResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return &kvrpcpb.CleanupResponse{CommitVersion: s.data.rollBack(request.Key, request.StartVersion)}, nil
}

func (s *store) KvBatchRollback(
	_ context.Context, request *kvrpcpb.BatchRollbackRequest,
) (*kvrpcpb.BatchRollbackResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, key := range request.Keys {
		s.data.rollBack(key, request.StartVersion)
	}
	return &kvrpcpb.BatchRollbackResponse{}, nil
}

func (s *store) KvResolveLock(
	_ context.Context, request *kvrpcpb.ResolveLockRequest,
) (*kvrpcpb.ResolveLockResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for key, e := range s.data.keys {
		if e.lock == nil || e.lock.start != request.StartVersion || s.regions.idOf([]byte(key)) != request.Context.RegionId {
			continue
		}
		if request.CommitVersion > 0 {
			s.data.commit([]byte(key), request.StartVersion, request.CommitVersion)
		} else {
			s.data.rollBack([]byte(key), request.StartVersion)
		}
	}
	return &kvrpcpb.ResolveLockResponse{}, nil
}
