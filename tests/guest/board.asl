// The firmware of a board that has a thermal zone, three frequencies, and a clock that can be throttled. The registers of
// all three are scratch registers of serial ports: the drivers are the kernel's, and the guest sets the temperature.
DefinitionBlock ("board.aml", "SSDT", 2, "FREC", "BOARD", 1)
{
    External (\_SB.CPUS.C000, ProcessorObj)
    OperationRegion (SCRA, SystemIO, 0x03EF, 1)
    Field (SCRA, ByteAcc, NoLock, Preserve) { TEMP, 8 }

    Scope (\_SB.CPUS.C000)
    {
        Name (_PCT, Package () {
            ResourceTemplate () { Register (SystemIO, 8, 0, 0x02FF) },
            ResourceTemplate () { Register (SystemIO, 8, 0, 0x02FF) }
        })
        // MHz, mW, us, us, control, status
        Name (_PSS, Package () {
            Package () { 1500, 3000, 10, 10, 1, 1 },
            Package () { 1000, 2000, 10, 10, 2, 2 },
            Package () { 600, 1000, 10, 10, 3, 3 }
        })
        Method (_PPC, 0) { Return (0) }

        Name (_PTC, Package () {
            ResourceTemplate () { Register (SystemIO, 8, 0, 0x02EF) },
            ResourceTemplate () { Register (SystemIO, 8, 0, 0x02EF) }
        })
        // Percent, mW, us, control, status
        Name (_TSS, Package () {
            Package () { 100, 1000, 1, 0, 0 },
            Package () { 50, 500, 1, 1, 1 },
            Package () { 25, 250, 1, 2, 2 }
        })
        Method (_TPC, 0) { Return (0) }
    }

    Scope (\_TZ)
    {
        ThermalZone (TZ00)
        {
            // Tenths of a kelvin.
            Method (_TMP, 0, Serialized) { Return (Add (2732, Multiply (TEMP, 10))) }
            Method (_CRT, 0) { Return (2732 + 1200) }
            // From 80 degrees on the processor is made slower.
            Method (_PSV, 0) { Return (2732 + 800) }
            Name (_PSL, Package () { \_SB.CPUS.C000 })
            Name (_TC1, 1)
            Name (_TC2, 1)
            Name (_TSP, 10)
            Name (_TZP, 10)
        }
    }
}
