"""What the judge asks about an item, one file a check; `table` has them in their order.

A new check is a file here with a class that meets `base.Check`, its line in `table.CHECKS`, its fields in the Policy
(`airgap/resources`), its tests and its docs. A check that a waiver may lift has its name in the Waiver's schema too.
"""
