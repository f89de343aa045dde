// Every byte of a durable stream, flipped: reported, never a shorter log, never a wrong byte (S28).
#include <gtest/gtest.h>

#include <algorithm>

#include "segments/names.h"
#include "tests/segments/world.h"

namespace sluice::segments::test {
namespace {

OnRecord nothing() {
  return [](const FoundChunk&, const Record&) {};
}

/// All files of a directory, scanned once; one of them can be changed and scanned again.
class Directory {
 public:
  Directory(const Options& options, const MemoryDisk& disk) : options_(options) {
    for (const std::string& name : disk.names()) {
      if (!parse_segment_name(name)) continue;
      files_.emplace_back(disk.read(name));
      scans_.push_back(scan_segment(options_, name, files_.back().span(), nothing()));
    }
  }
  [[nodiscard]] std::size_t size() const { return files_.size(); }
  [[nodiscard]] const SegmentScan& scan(std::size_t i) const { return scans_[i]; }

  [[nodiscard]] auto judge_flipped(std::size_t i, std::uint64_t at, std::byte mask) {
    files_[i].span()[at] ^= mask;
    std::vector<SegmentScan> scans = scans_;
    scans[i] = scan_segment(options_, scans[i].name, files_[i].span(), nothing());
    files_[i].span()[at] ^= mask;
    return judge(options_, std::move(scans), {});
  }

 private:
  const Options& options_;
  std::vector<AlignedFile> files_;
  std::vector<SegmentScan> scans_;
};

/// What a flip at an offset hits.
enum class Hits { kHeader, kDurable, kTail, kNothing };

Hits what_is_at(const SegmentScan& scan, const Verdict& verdict, std::uint64_t at) {
  if (at < kBlockBytes) return Hits::kHeader;
  const auto live = std::ranges::find(verdict.live, scan.epoch, &Verdict::Live::epoch);
  for (const FoundChunk& chunk : scan.chunks) {
    if (at < chunk.offset || at >= chunk.offset + chunk.size_bytes) continue;
    if (chunk.seq < live->first || chunk.seq > live->last) return Hits::kNothing;
    return chunk.seq <= verdict.durable_seq ? Hits::kDurable : Hits::kTail;
  }
  return Hits::kNothing;
}

void flip_everything(World& world, std::size_t (&hits)[4]) {
  Directory directory(world.options(), world.disk());
  const auto found = recover_directory(world.options(), world.disk());
  ASSERT_TRUE(found);
  const Verdict& verdict = found->verdict;
  for (std::size_t i = 0; i < directory.size(); ++i) {
    const SegmentScan& scan = directory.scan(i);
    if (scan.epoch < verdict.end.oldest_epoch) continue;
    for (std::uint64_t at = 0; at < scan.file_bytes; ++at) {
      const Hits what = what_is_at(scan, verdict, at);
      if (what == Hits::kNothing && at % 97 != 0) continue;
      const auto mask = static_cast<std::byte>(1u << (at % 8));
      const auto judged = directory.judge_flipped(i, at, mask);
      ++hits[static_cast<std::size_t>(what)];
      switch (what) {
        case Hits::kHeader:
        case Hits::kDurable:
          ASSERT_FALSE(judged) << scan.name << " byte " << at;
          break;
        case Hits::kTail:
          ASSERT_TRUE(judged);
          ASSERT_GE(judged->end.last_seq, verdict.durable_seq);
          ASSERT_LT(judged->end.last_seq, verdict.end.last_seq) << scan.name << " byte " << at;
          break;
        case Hits::kNothing:
          ASSERT_TRUE(judged) << scan.name << " byte " << at;
          ASSERT_EQ(judged->end.last_seq, verdict.end.last_seq);
          break;
      }
    }
  }
}

TEST(Damage, S28_EachByteOfADurableChunkOrHeaderFlippedIsReported) {
  std::size_t hits[4] = {};
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    World world(seed, {.durable_writes = true});
    world.act(60);
    world.lose_power(MemoryDisk::Fate::kRandom);  // with a dead branch or an old epoch in between
    world.recover();
    world.act(60);
    world.settle();
    world.lose_power(MemoryDisk::Fate::kAllKept);
    flip_everything(world, hits);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  for (const std::size_t count : hits) EXPECT_GT(count, 500u);
}

/// The same for whole sectors: zeroed, or with the content of another sector.
TEST(Damage, S28_S40_LostAndSwappedSectorsOfDurableChunksAreReported) {
  for (std::uint64_t seed = 11; seed <= 14; ++seed) {
    World world(seed, {.durable_writes = true});
    world.act(150);
    world.settle();
    world.lose_power(MemoryDisk::Fate::kAllKept);
    const auto found = recover_directory(world.options(), world.disk());
    ASSERT_TRUE(found);
    Directory whole(world.options(), world.disk());
    Random random(seed);
    std::size_t reported = 0;
    for (int i = 0; i < 300; ++i) {
      const SegmentScan& scan = whole.scan(random.below(whole.size()));
      const std::uint64_t at = random.below(scan.file_bytes / kSectorBytes) * kSectorBytes;
      const std::uint64_t from = random.below(scan.file_bytes / kSectorBytes) * kSectorBytes;
      auto bytes = world.disk().read(scan.name);
      MemoryDisk::Bytes sector(kSectorBytes);
      if (i % 2 == 0)
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), kSectorBytes,
                    sector.begin());
      const bool same =
          std::equal(sector.begin(), sector.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
      MemoryDisk broken = world.disk();
      broken.land(broken.submit(broken.inode(scan.name), at, sector), true);
      const auto after = recover_directory(world.options(), broken);
      const bool needed = scan.epoch >= found->verdict.end.oldest_epoch;
      const Hits what = needed ? what_is_at(scan, found->verdict, at) : Hits::kNothing;
      if (!same && (what == Hits::kDurable || (what == Hits::kHeader && at < kBlockBytes))) {
        EXPECT_FALSE(after) << scan.name << " sector at " << at;
        ++reported;
      } else {
        ASSERT_TRUE(after) << after.error().front().what;
        EXPECT_EQ(describe(after->groups), describe(found->groups));
      }
    }
    EXPECT_GT(reported, 20u);
  }
}

}  // namespace
}  // namespace sluice::segments::test
