// One sample of each envelope: how to build it, what its fields must read as, and its golden bytes.
// Every field has a value that no other field has, so that two swapped fields are seen.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string_view>

#include "tests/wire/bytes.h"
#include "wire/frame.h"

namespace sluice::test {

/// Builds an envelope with FlatBuffers and returns its bytes.
inline Bytes envelope_of(const std::function<void(flatbuffers::FlatBufferBuilder&)>& build) {
  flatbuffers::FlatBufferBuilder fbb;
  build(fbb);
  const auto bytes = std::as_bytes(std::span(fbb.GetBufferPointer(), fbb.GetSize()));
  return {bytes.begin(), bytes.end()};
}

/// Reads every byte that a table hands out, so that the address sanitizer sees where they lie.
class Touch {
 public:
  template <class Number>
  void operator()(Number value) {
    sum_ = sum_ * 31 + static_cast<std::uint64_t>(value);
  }
  void operator()(const flatbuffers::String* text) {
    if (text == nullptr) return;
    for (const char c : text->string_view()) (*this)(static_cast<unsigned char>(c));
    (*this)(text->c_str()[text->size()]);
  }
  void operator()(const wire::DirectoryIdBytes* id) {
    if (id != nullptr) (*this)(id->high() ^ id->low());
  }
  template <class Struct, class Each>
  void each(const flatbuffers::Vector<const Struct*>* structs, Each&& touch_one) {
    if (structs == nullptr) return;
    for (const Struct* one : *structs) touch_one(*one);
  }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }

 private:
  std::uint64_t sum_ = 0;
};

struct HelloSample {
  using Table = wire::Hello;
  static constexpr std::string_view kGolden = R"(
1c 00 00 00 00 00 16 00  40 00 07 00 08 00 34 00
0c 00 10 00 14 00 28 00  2c 00 30 00 16 00 00 00
00 00 00 01 38 00 00 00  02 00 00 00 03 00 00 00
a1 00 00 00 00 00 00 00  a2 00 00 00 00 00 00 00
00 00 00 00 04 00 00 00  05 00 00 00 06 00 00 00
01 00 00 00 00 00 00 00  00 00 00 00 04 00 00 00
64 65 6d 6f 00 00 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) {
      const wire::DirectoryIdBytes id(0xA1, 0xA2);
      fbb.Finish(wire::CreateHelloDirect(fbb, wire::Role::Peer, "demo", 1, 2, 3, &id, 4, 5, 6));
    });
  }
  static void expect(const Table& t) {
    EXPECT_EQ(t.role(), wire::Role::Peer);
    EXPECT_EQ(t.cluster_name()->str(), "demo");
    EXPECT_EQ(t.cluster(), 1u);
    EXPECT_EQ(t.node_id(), 2u);
    EXPECT_EQ(t.target_node_id(), 3u);
    EXPECT_EQ(t.directory_id()->high(), 0xA1u);
    EXPECT_EQ(t.directory_id()->low(), 0xA2u);
    EXPECT_EQ(t.shard(), 4u);
    EXPECT_EQ(t.shards(), 5u);
    EXPECT_EQ(t.groups(), 6u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch(t.role());
    touch(t.cluster_name());
    touch(t.cluster());
    touch(t.node_id());
    touch(t.target_node_id());
    touch(t.directory_id());
    touch(t.shard());
    touch(t.shards());
    touch(t.groups());
  }
};

struct HelloReplySample {
  using Table = wire::HelloReply;
  static constexpr std::string_view kGolden = R"(
24 00 00 00 00 00 00 00  00 00 1a 00 44 00 06 00
08 00 0c 00 3c 00 10 00  14 00 28 00 2c 00 30 00
34 00 38 00 1a 00 00 00  00 00 08 00 54 00 00 00
44 00 00 00 02 00 00 00  a1 00 00 00 00 00 00 00
a2 00 00 00 00 00 00 00  00 00 00 00 03 00 00 00
04 00 00 00 05 00 00 00  06 00 00 00 0c 00 00 00
01 00 00 00 00 00 00 00  06 00 00 00 61 6c 77 61
79 73 00 00 04 00 00 00  64 65 6d 6f 00 00 00 00
02 00 00 00 6e 6f 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) {
      const wire::DirectoryIdBytes id(0xA1, 0xA2);
      fbb.Finish(
          wire::CreateHelloReplyDirect(fbb, 8, "no", "demo", 1, 2, &id, 3, 4, 5, 6, "always"));
    });
  }
  static void expect(const Table& t) {
    EXPECT_EQ(t.code(), 8u);
    EXPECT_EQ(t.message()->str(), "no");
    EXPECT_EQ(t.cluster_name()->str(), "demo");
    EXPECT_EQ(t.cluster(), 1u);
    EXPECT_EQ(t.node_id(), 2u);
    EXPECT_EQ(t.directory_id()->high(), 0xA1u);
    EXPECT_EQ(t.directory_id()->low(), 0xA2u);
    EXPECT_EQ(t.shard(), 3u);
    EXPECT_EQ(t.shards(), 4u);
    EXPECT_EQ(t.groups(), 5u);
    EXPECT_EQ(t.batch_bytes_max(), 6u);
    EXPECT_EQ(t.fsync_policy()->str(), "always");
  }
  static void touch(const Table& t, Touch& touch) {
    touch(t.code());
    touch(t.message());
    touch(t.cluster_name());
    touch(t.cluster());
    touch(t.node_id());
    touch(t.directory_id());
    touch(t.shard());
    touch(t.shards());
    touch(t.groups());
    touch(t.batch_bytes_max());
    touch(t.fsync_policy());
  }
};

struct PeerMessagesSample {
  using Table = wire::PeerMessages;
  static constexpr std::string_view kGolden = R"(
10 00 00 00 0c 00 14 00  04 00 08 00 0c 00 10 00
0c 00 00 00 a0 00 00 00  74 00 00 00 40 00 00 00
04 00 00 00 01 00 00 00  0e 00 00 00 00 00 00 00
0f 00 00 00 00 00 00 00  10 00 00 00 00 00 00 00
11 00 00 00 00 00 00 00  12 00 00 00 00 00 00 00
13 00 00 00 01 00 00 00  00 00 00 00 01 00 00 00
09 00 00 00 00 00 00 00  0a 00 00 00 00 00 00 00
0b 00 00 00 00 00 00 00  0c 00 00 00 00 00 00 00
0d 00 00 00 78 00 00 00  00 00 00 00 02 00 00 00
05 00 00 00 00 00 00 00  06 00 00 00 01 00 00 00
07 00 00 00 00 00 00 00  08 00 00 00 00 01 00 00
00 00 00 00 01 00 00 00  01 00 00 00 00 00 00 00
02 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00
04 00 00 00 01 00 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) {
      const std::vector<wire::VoteRequest> requests{{1, 2, 3, 4, 1, 0, 0}};
      const std::vector<wire::VoteReply> replies{{5, 6, 1, 0, 0}, {7, 8, 0, 1, 0}};
      const std::vector<wire::AppendRequest> appends{{9, 10, 11, 12, 13, 120}};
      const std::vector<wire::AppendReply> append_replies{{14, 15, 16, 17, 18, 19, 1, 0, 0}};
      fbb.Finish(
          wire::CreatePeerMessagesDirect(fbb, &requests, &replies, &appends, &append_replies));
    });
  }
  static void expect(const Table& t) {
    ASSERT_EQ(t.vote_requests()->size(), 1u);
    const auto* request = t.vote_requests()->Get(0);
    EXPECT_EQ(request->term(), 1u);
    EXPECT_EQ(request->last_index(), 2u);
    EXPECT_EQ(request->last_term(), 3u);
    EXPECT_EQ(request->group(), 4u);
    EXPECT_EQ(request->pre_vote(), 1u);
    ASSERT_EQ(t.vote_replies()->size(), 2u);
    EXPECT_EQ(t.vote_replies()->Get(0)->term(), 5u);
    EXPECT_EQ(t.vote_replies()->Get(0)->group(), 6u);
    EXPECT_EQ(t.vote_replies()->Get(0)->granted(), 1u);
    EXPECT_EQ(t.vote_replies()->Get(0)->pre_vote(), 0u);
    EXPECT_EQ(t.vote_replies()->Get(1)->term(), 7u);
    EXPECT_EQ(t.vote_replies()->Get(1)->pre_vote(), 1u);
    ASSERT_EQ(t.append_requests()->size(), 1u);
    const auto* append = t.append_requests()->Get(0);
    EXPECT_EQ(append->term(), 9u);
    EXPECT_EQ(append->prev_index(), 10u);
    EXPECT_EQ(append->prev_term(), 11u);
    EXPECT_EQ(append->commit_index(), 12u);
    EXPECT_EQ(append->group(), 13u);
    EXPECT_EQ(append->batch_bytes(), 120u);
    ASSERT_EQ(t.append_replies()->size(), 1u);
    const auto* reply = t.append_replies()->Get(0);
    EXPECT_EQ(reply->term(), 14u);
    EXPECT_EQ(reply->match_index(), 15u);
    EXPECT_EQ(reply->rejected_index(), 16u);
    EXPECT_EQ(reply->hint_index(), 17u);
    EXPECT_EQ(reply->hint_term(), 18u);
    EXPECT_EQ(reply->group(), 19u);
    EXPECT_EQ(reply->rejected(), 1u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch.each(t.vote_requests(), [&](const auto& m) {
      touch(m.term() + m.last_index() + m.last_term() + m.group() + m.pre_vote());
    });
    touch.each(t.vote_replies(),
               [&](const auto& m) { touch(m.term() + m.group() + m.granted() + m.pre_vote()); });
    touch.each(t.append_requests(), [&](const auto& m) {
      touch(m.term() + m.prev_index() + m.prev_term() + m.commit_index() + m.group() +
            m.batch_bytes());
    });
    touch.each(t.append_replies(), [&](const auto& m) {
      touch(m.term() + m.match_index() + m.rejected_index() + m.hint_index() + m.hint_term() +
            m.group() + m.rejected());
    });
  }
};

struct ClientAppendSample {
  using Table = wire::ClientAppend;
  static constexpr std::string_view kGolden = R"(
0c 00 00 00 00 00 06 00  08 00 04 00 06 00 00 00
04 00 00 00 02 00 00 00  01 00 00 00 00 00 00 00
03 00 00 00 78 00 00 00  02 00 00 00 00 00 00 00
04 00 00 00 68 00 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) {
      const std::vector<wire::AppendItem> items{{1, 3, 120}, {2, 4, 104}};
      fbb.Finish(wire::CreateClientAppendDirect(fbb, &items));
    });
  }
  static void expect(const Table& t) {
    ASSERT_EQ(t.items()->size(), 2u);
    EXPECT_EQ(t.items()->Get(0)->request_id(), 1u);
    EXPECT_EQ(t.items()->Get(0)->group(), 3u);
    EXPECT_EQ(t.items()->Get(0)->batch_bytes(), 120u);
    EXPECT_EQ(t.items()->Get(1)->request_id(), 2u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch.each(t.items(),
               [&](const auto& i) { touch(i.request_id() + i.group() + i.batch_bytes()); });
  }
};

struct ClientAppendReplySample {
  using Table = wire::ClientAppendReply;
  static constexpr std::string_view kGolden = R"(
0c 00 00 00 00 00 06 00  08 00 04 00 06 00 00 00
04 00 00 00 02 00 00 00  01 00 00 00 00 00 00 00
05 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
00 00 00 00 00 00 00 00  00 00 00 00 02 00 00 00
00 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
09 00 00 00 00 00 00 00  04 00 00 00 07 00 00 00
08 00 00 00 06 00 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) {
      const std::vector<wire::AppendResult> results{{1, 5, 2, 0, 0, 2, 0, 0, 0},
                                                    {2, 0, 0, 9, 4, 7, 8, 6, 0}};
      fbb.Finish(wire::CreateClientAppendReplyDirect(fbb, &results));
    });
  }
  static void expect(const Table& t) {
    ASSERT_EQ(t.results()->size(), 2u);
    const auto* ok = t.results()->Get(0);
    EXPECT_EQ(ok->request_id(), 1u);
    EXPECT_EQ(ok->first_index(), 5u);
    EXPECT_EQ(ok->term(), 2u);
    EXPECT_EQ(ok->count(), 2u);
    EXPECT_EQ(ok->code(), 0u);
    const auto* gap = t.results()->Get(1);
    EXPECT_EQ(gap->request_id(), 2u);
    EXPECT_EQ(gap->expected_sequence(), 9u);
    EXPECT_EQ(gap->offset(), 4u);
    EXPECT_EQ(gap->count(), 7u);
    EXPECT_EQ(gap->leader_id(), 8u);
    EXPECT_EQ(gap->code(), 6u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch.each(t.results(), [&](const auto& r) {
      touch(r.request_id() + r.first_index() + r.term() + r.expected_sequence() + r.offset() +
            r.count() + r.leader_id() + r.code());
    });
  }
};

struct ClientReadSample {
  using Table = wire::ClientRead;
  static constexpr std::string_view kGolden = R"(
14 00 00 00 10 00 24 00  14 00 04 00 1c 00 08 00
0c 00 10 00 10 00 00 00  02 00 00 00 04 00 00 00
05 00 00 00 06 00 00 00  01 00 00 00 00 00 00 00
03 00 00 00 00 00 00 00
)";
  static Bytes build() {
    return envelope_of(
        [](auto& fbb) { fbb.Finish(wire::CreateClientRead(fbb, 1, 2, 3, 4, 5, 6)); });
  }
  static void expect(const Table& t) {
    EXPECT_EQ(t.request_id(), 1u);
    EXPECT_EQ(t.group(), 2u);
    EXPECT_EQ(t.from_index(), 3u);
    EXPECT_EQ(t.count_max(), 4u);
    EXPECT_EQ(t.bytes_max(), 5u);
    EXPECT_EQ(t.wait_ms(), 6u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch(t.request_id() + t.group() + t.from_index() + t.count_max() + t.bytes_max() +
          t.wait_ms());
  }
};

struct ClientReadReplySample {
  using Table = wire::ClientReadReply;
  static constexpr std::string_view kGolden = R"(
18 00 00 00 00 00 00 00  10 00 28 00 10 00 06 00
18 00 20 00 08 00 0c 00  10 00 00 00 00 00 28 00
05 00 00 00 78 00 00 00  01 00 00 00 00 00 00 00
03 00 00 00 00 00 00 00  04 00 00 00 00 00 00 00
)";
  static Bytes build() {
    return envelope_of(
        [](auto& fbb) { fbb.Finish(wire::CreateClientReadReply(fbb, 1, 40, 3, 4, 5, 120)); });
  }
  static void expect(const Table& t) {
    EXPECT_EQ(t.request_id(), 1u);
    EXPECT_EQ(t.code(), 40u);
    EXPECT_EQ(t.commit_index(), 3u);
    EXPECT_EQ(t.first_index(), 4u);
    EXPECT_EQ(t.leader_id(), 5u);
    EXPECT_EQ(t.batch_bytes(), 120u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch(t.request_id() + t.code() + t.commit_index() + t.first_index() + t.leader_id() +
          t.batch_bytes());
  }
};

struct ClientTrimSample {
  using Table = wire::ClientTrim;
  static constexpr std::string_view kGolden = R"(
10 00 00 00 00 00 0a 00  18 00 08 00 04 00 10 00
0a 00 00 00 02 00 00 00  01 00 00 00 00 00 00 00
03 00 00 00 00 00 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) { fbb.Finish(wire::CreateClientTrim(fbb, 1, 2, 3)); });
  }
  static void expect(const Table& t) {
    EXPECT_EQ(t.request_id(), 1u);
    EXPECT_EQ(t.group(), 2u);
    EXPECT_EQ(t.first_index(), 3u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch(t.request_id() + t.group() + t.first_index());
  }
};

struct ClientTrimReplySample {
  using Table = wire::ClientTrimReply;
  static constexpr std::string_view kGolden = R"(
14 00 00 00 00 00 00 00  0c 00 1c 00 0c 00 06 00
14 00 08 00 0c 00 00 00  00 00 14 00 04 00 00 00
01 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00
)";
  static Bytes build() {
    return envelope_of(
        [](auto& fbb) { fbb.Finish(wire::CreateClientTrimReply(fbb, 1, 20, 3, 4)); });
  }
  static void expect(const Table& t) {
    EXPECT_EQ(t.request_id(), 1u);
    EXPECT_EQ(t.code(), 20u);
    EXPECT_EQ(t.first_index(), 3u);
    EXPECT_EQ(t.leader_id(), 4u);
  }
  static void touch(const Table& t, Touch& touch) {
    touch(t.request_id() + t.code() + t.first_index() + t.leader_id());
  }
};

struct ClientStatusSample {
  using Table = wire::ClientStatus;
  static constexpr std::string_view kGolden = R"(
0c 00 00 00 00 00 06 00  0c 00 04 00 06 00 00 00
01 00 00 00 00 00 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) { fbb.Finish(wire::CreateClientStatus(fbb, 1)); });
  }
  static void expect(const Table& t) { EXPECT_EQ(t.request_id(), 1u); }
  static void touch(const Table& t, Touch& touch) { touch(t.request_id()); }
};

struct ClientStatusReplySample {
  using Table = wire::ClientStatusReply;
  static constexpr std::string_view kGolden = R"(
1c 00 00 00 00 00 00 00  00 00 12 00 58 00 4c 00
04 00 08 00 0c 00 10 00  14 00 48 00 12 00 00 00
16 00 00 00 17 00 00 00  a4 00 00 00 60 00 00 00
0b 00 00 00 00 00 00 00  0c 00 00 00 00 00 00 00
0d 00 00 00 00 00 00 00  0e 00 00 00 00 00 00 00
0f 00 00 00 00 00 00 00  10 00 00 00 00 00 00 00
00 00 00 00 10 00 00 00  15 00 00 00 00 00 00 00
00 00 00 00 01 00 00 00  1f 00 00 00 00 00 00 00
20 00 04 00 00 00 00 00  00 00 00 00 01 00 00 00
01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
03 00 00 00 00 00 00 00  04 00 00 00 00 00 00 00
05 00 00 00 00 00 00 00  06 00 00 00 07 00 00 00
03 00 00 00 00 00 00 00  00 00 00 00 05 00 00 00
6e 65 76 65 72 00 00 00
)";
  static Bytes build() {
    return envelope_of([](auto& fbb) {
      const std::vector<wire::GroupStatus> groups{{1, 2, 3, 4, 5, 6, 7, 3, 0, 0, 0}};
      const wire::ShardCounters counters(11, 12, 13, 14, 15, 16);
      const std::vector<wire::StageBucket> stages{{31, 32, wire::Stage::Reply, 0, 0}};
      fbb.Finish(wire::CreateClientStatusReplyDirect(fbb, 21, 22, 23, "never", &groups, &counters,
                                                     &stages));
    });
  }
  static void expect(const Table& t) {
    EXPECT_EQ(t.request_id(), 21u);
    EXPECT_EQ(t.node_id(), 22u);
    EXPECT_EQ(t.shard(), 23u);
    EXPECT_EQ(t.fsync_policy()->str(), "never");
    ASSERT_EQ(t.groups()->size(), 1u);
    const auto* group = t.groups()->Get(0);
    EXPECT_EQ(group->term(), 1u);
    EXPECT_EQ(group->first_index(), 2u);
    EXPECT_EQ(group->last_index(), 3u);
    EXPECT_EQ(group->durable_index(), 4u);
    EXPECT_EQ(group->commit_index(), 5u);
    EXPECT_EQ(group->group(), 6u);
    EXPECT_EQ(group->leader_id(), 7u);
    EXPECT_EQ(group->role(), 3u);
    EXPECT_EQ(t.counters()->chunks_written(), 11u);
    EXPECT_EQ(t.counters()->flushes(), 12u);
    EXPECT_EQ(t.counters()->bytes_written(), 13u);
    EXPECT_EQ(t.counters()->batches_appended(), 14u);
    EXPECT_EQ(t.counters()->entries_appended(), 15u);
    EXPECT_EQ(t.counters()->memory_bytes(), 16u);
    ASSERT_EQ(t.stages()->size(), 1u);
    EXPECT_EQ(t.stages()->Get(0)->count(), 31u);
    EXPECT_EQ(t.stages()->Get(0)->bucket(), 32u);
    EXPECT_EQ(t.stages()->Get(0)->stage(), wire::Stage::Reply);
  }
  static void touch(const Table& t, Touch& touch) {
    touch(t.request_id() + t.node_id() + t.shard());
    touch(t.fsync_policy());
    touch.each(t.groups(), [&](const auto& g) {
      touch(g.term() + g.first_index() + g.last_index() + g.durable_index() + g.commit_index() +
            g.group() + g.leader_id() + g.role());
    });
    if (const auto* c = t.counters()) {
      touch(c->chunks_written() + c->flushes() + c->bytes_written() + c->batches_appended() +
            c->entries_appended() + c->memory_bytes());
    }
    touch.each(t.stages(), [&](const auto& bucket) {
      touch(bucket.count() + bucket.bucket());
      touch(bucket.stage());
    });
  }
};

}  // namespace sluice::test
