/* A stand-in for NVIDIA's libnvidia-ml.so.1, so that the real nvidia-ml-py has something to load.
 *
 * It knows the calls that Madang makes, with the layouts of NVML's API reference, and reads the file that
 * the environment variable MADANG_TEST_NVML names, else GPUS, anew at every call: a test writes what the machine has.
 * Without the variable it answers as a machine whose driver is not loaded. See stand_in.py for the file.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  SUCCESS = 0,
  INVALID_ARGUMENT = 2,
  NOT_SUPPORTED = 3,
  NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7,
  DRIVER_NOT_LOADED = 9,
  GPU_IS_LOST = 15,
};

#define MOST 64

typedef struct {
  char uuid[96], name[96];
  long long total, used; /* bytes */
  int utilisation;       /* percent, -1: none */
  int count;
  unsigned pids[MOST];
  int parent; /* a slice's card, -1 */
  int minor, mig, lost, nameless, hang, recovery, pages, rows_pending, rows_failed;
  long long ecc;
} Device;

typedef struct {
  int loaded, count, cards;
  Device devices[MOST];
} Machine;

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } Process;
typedef union { double d; unsigned u; unsigned long long ull; } Value;
typedef struct {
  unsigned id, scope;
  long long timestamp, latency;
  unsigned type, result;
  Value value;
} Field;

/* A line of "key=value" pairs; name= takes the rest of the line. */
static void take(Device *d, char *line) {
  char *name = strstr(line, " name=");
  if (name) {
    snprintf(d->name, sizeof d->name, "%s", name + 6);
    *name = 0;
  }
  for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
    char *value = strchr(word, '=');
    if (!value) continue;
    *value++ = 0;
    long long number = strtoll(value, NULL, 10);
    if (!strcmp(word, "uuid")) snprintf(d->uuid, sizeof d->uuid, "%s", value);
    else if (!strcmp(word, "total")) d->total = number;
    else if (!strcmp(word, "used")) d->used = number;
    else if (!strcmp(word, "utilisation")) d->utilisation = (int)number;
    else if (!strcmp(word, "minor")) d->minor = (int)number;
    else if (!strcmp(word, "mig")) d->mig = (int)number;
    else if (!strcmp(word, "lost")) d->lost = (int)number;
    else if (!strcmp(word, "nameless")) d->nameless = (int)number;
    else if (!strcmp(word, "hang")) d->hang = (int)number;
    else if (!strcmp(word, "recovery")) d->recovery = (int)number;
    else if (!strcmp(word, "pages")) d->pages = (int)number;
    else if (!strcmp(word, "rows_pending")) d->rows_pending = (int)number;
    else if (!strcmp(word, "rows_failed")) d->rows_failed = (int)number;
    else if (!strcmp(word, "ecc")) d->ecc = number;
    else if (!strcmp(word, "pid") && d->count < MOST) d->pids[d->count++] = (unsigned)number;
  }
}

static Machine look(void) {
  Machine m = {0};
  const char *named = getenv("MADANG_TEST_NVML"), *path = named ? named : GPUS;
  FILE *file = *path ? fopen(path, "r") : NULL;
  if (!file) return m;
  m.loaded = 1;
  char line[2048];
  int card = -1;
  while (fgets(line, sizeof line, file) && m.count < MOST) {
    line[strcspn(line, "\n")] = 0;
    int slice = !strncmp(line, "slice ", 6);
    if (!slice && strncmp(line, "gpu ", 4)) continue;
    Device *d = &m.devices[m.count];
    d->utilisation = -1;
    d->parent = slice ? card : -1;
    if (!slice) card = m.count, m.cards++;
    m.count++;
    take(d, line);
  }
  fclose(file);
  return m;
}

/* A handle is the device's place in the file, plus one. */
static int find(void *handle, Machine *m, Device **d) {
  size_t place = (size_t)handle;
  *m = look();
  if (place < 1 || place > (size_t)m->count) return INVALID_ARGUMENT;
  *d = &m->devices[place - 1];
  Device *card = (*d)->parent < 0 ? *d : &m->devices[(*d)->parent];
  while (card->hang) { /* until the file says otherwise */
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    *m = look();
    if (place > (size_t)m->count) return INVALID_ARGUMENT;
    *d = &m->devices[place - 1];
    card = (*d)->parent < 0 ? *d : &m->devices[(*d)->parent];
  }
  if (card->nameless) return GPU_IS_LOST;
  return SUCCESS;
}

#define FIND                               \
  Machine m;                               \
  Device *d;                               \
  int found = find(handle, &m, &d);        \
  if (found != SUCCESS) return found;
/* what a lost card still answers comes from the driver's memory; the rest needs the card */
#define ALIVE \
  if (d->lost || (d->parent >= 0 && m.devices[d->parent].lost)) return GPU_IS_LOST;
#define CARD \
  if (d->parent >= 0) return INVALID_ARGUMENT;

int nvmlInitWithFlags(unsigned flags) { (void)flags; return look().loaded ? SUCCESS : DRIVER_NOT_LOADED; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stand-in"; }

int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)look().cards; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  Machine m = look();
  for (int i = 0; i < m.count; i++)
    if (m.devices[i].parent < 0 && index-- == 0) {
      if (m.devices[i].nameless) return GPU_IS_LOST;
      *handle = (void *)(size_t)(i + 1);
      return SUCCESS;
    }
  return INVALID_ARGUMENT;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) {
  FIND snprintf(text, size, "%s", d->uuid);
  return SUCCESS;
}

int nvmlDeviceGetName(void *handle, char *text, unsigned size) {
  FIND snprintf(text, size, "%s", d->name);
  return SUCCESS;
}

int nvmlDeviceGetMinorNumber(void *handle, unsigned *minor) {
  FIND CARD *minor = (unsigned)d->minor;
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *handle, Memory *memory) {
  FIND ALIVE if (!d->total) return NOT_SUPPORTED;
  /* this form counts what the driver keeps for itself as used */
  *memory = (Memory){(unsigned long long)d->total, (unsigned long long)(d->total - d->used),
                     (unsigned long long)d->used + (500ull << 20)};
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, Memory2 *memory) {
  FIND ALIVE if (!d->total) return NOT_SUPPORTED;
  if (memory->version != (sizeof *memory | 2u << 24)) return 25; /* argument version mismatch */
  memory->total = (unsigned long long)d->total;
  memory->used = (unsigned long long)d->used;
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *handle, Rates *rates) {
  FIND ALIVE if (d->parent >= 0 || d->mig || d->utilisation < 0) return NOT_SUPPORTED;
  *rates = (Rates){(unsigned)d->utilisation, 0};
  return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, Process *found_here) {
  FIND ALIVE unsigned room = *count;
  *count = (unsigned)d->count;
  if (!d->count) return SUCCESS;
  if (!found_here || room < *count) return INSUFFICIENT_SIZE;
  for (unsigned i = 0; i < *count; i++) found_here[i] = (Process){d->pids[i], 1 << 20, 0, 0};
  return SUCCESS;
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, Process *found_here) {
  (void)found_here;
  FIND ALIVE *count = 0;
  return SUCCESS;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *pending) {
  FIND CARD if (d->mig < 0) return NOT_SUPPORTED;
  *now = *pending = (unsigned)d->mig;
  return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
  FIND CARD *count = 7;
  return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **slice) {
  FIND CARD for (int i = 0; i < m.count; i++)
    if (m.devices[i].parent == (int)(d - m.devices) && index-- == 0) {
      *slice = (void *)(size_t)(i + 1);
      return SUCCESS;
    }
  return NOT_FOUND;
}

int nvmlDeviceGetRetiredPagesPendingStatus(void *handle, unsigned *pending) {
  FIND ALIVE CARD if (d->pages < 0) return NOT_SUPPORTED;
  *pending = (unsigned)d->pages;
  return SUCCESS;
}

int nvmlDeviceGetRemappedRows(void *handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed) {
  FIND ALIVE CARD *corrected = *uncorrected = 0;
  *pending = (unsigned)d->rows_pending;
  *failed = (unsigned)d->rows_failed;
  return SUCCESS;
}

int nvmlDeviceGetMemoryErrorCounter(void *handle, unsigned type, unsigned counter, unsigned where,
                                    unsigned long long *count) {
  FIND ALIVE CARD *count = 0;
  /* uncorrected, since the last reset, in the device's memory */
  if (type == 1 && counter == 0 && where == 2) *count = (unsigned long long)d->ecc;
  return SUCCESS;
}

int nvmlDeviceGetFieldValues(void *handle, int count, Field *fields) {
  FIND ALIVE for (int i = 0; i < count; i++) {
    /* NVML_FI_DEV_GET_GPU_RECOVERY_ACTION; -1: a driver that has no such field */
    fields[i].result = fields[i].id == 230 && d->recovery >= 0 ? SUCCESS : NOT_SUPPORTED;
    fields[i].type = 1;
    fields[i].value.u = (unsigned)d->recovery;
  }
  return SUCCESS;
}
